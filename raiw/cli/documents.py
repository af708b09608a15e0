"""Commands whose options are fields of a job's document: help and defaults stand there alone."""

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


class JobCommand(TyperCommand):
    """The command of the kind of job that it is named after.

    A parameter without a default has that of the document's field of its name, and one without
    help the field's. The document is imported when the command is called or its own help is
    asked for, so that the list of commands stays quick.
    """

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, completed from the document."""
        from raiw.jobs.registry import KINDS

        fields = KINDS[str(self.name)].document.model_fields
        params = super().get_params(ctx)
        for param in params:
            if (field := fields.get(str(param.name))) is not None:
                _complete(param, field)
        return params


def _complete(param: Any, field: "FieldInfo") -> None:
    if param.required and not field.is_required():
        param.required, param.default = False, field.get_default()
    if not param.help:
        extra = field.json_schema_extra
        choices = extra.get("enum") if isinstance(extra, dict) else None
        listed = f" One of {', '.join(map(str, choices))}." if isinstance(choices, list) else ""
        param.help = f"{field.description}{listed}"
