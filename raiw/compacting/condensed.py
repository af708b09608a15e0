"""Layers that keep only the weights of their mask."""

import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from raiw.compacting.after import After, tensors_of
from raiw.compacting.call import Call
from raiw.compacting.fans import Fans
from raiw.compacting.geometry import Geometry
from raiw.compacting.operator import dense_weight, kernel_takes, multiply_dense, sparse_layer


class Condensed(nn.Module):
    """A linear layer or convolution as its kept weights and the channels that they read.

    ``values`` is ``(entries, taps, shared)``: for each group of ``shared`` outputs and each channel
    it reads, one weight for every kernel tap and output. ``starts`` tells where each group begins
    in ``channels``. Sums are float32, in another order than the dense layer's. A CPU uses raiw's
    own kernel; other devices and float64 use the dense weight, rebuilt each time.
    """

    def __init__(
        self,
        geometry: Geometry,
        fans: Fans,
        weight: Tensor,
        bias: nn.Parameter | None,
        after: After | None = None,
    ) -> None:
        super().__init__()
        self.geometry = geometry
        self.after = after
        self.starts: Tensor
        self.channels: Tensor
        self.register_buffer("starts", torch.from_numpy(fans.starts).to(torch.int32))
        self.register_buffer("channels", torch.from_numpy(fans.channels))
        self.values = nn.Parameter(_values(geometry, fans, weight), weight.requires_grad)
        self.bias = bias
        self._call: Call | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the masked layer and of what follows it."""
        geometry = self.geometry
        after: Any = self._modules.get("after")
        batch = geometry.batched(geometry.pad(inputs))
        if _is_plain(batch, self):
            # A norm reads batches of vectors or maps.
            joins = after is not None and after.is_fixed and (batch is inputs or not after.norms)
            outputs, done = self._multiply(batch, after if joins else None)
        else:
            outputs, done = self._multiply_watched(batch), False
        outputs = geometry.unbatched(outputs, inputs)
        return outputs if after is None or done else after(outputs)

    def _multiply(self, batch: Tensor, after: After | None) -> tuple[Tensor, bool]:
        """Return the outputs, and whether what follows is done."""
        tensors = tensors_of(self, "values", "bias", "starts", "channels")
        if after is not None:
            tensors += after.tensors()
        call = self._call
        if call is None or not call.fits(batch, tensors, after):
            if not kernel_takes(batch, self.values):
                operands = self.values, self.bias, self.starts, self.channels
                return multiply_dense(self.geometry, batch, *operands), False
            call = self._call = Call(self.geometry, batch, tensors, after)
        return call(batch), call.joins

    def _multiply_watched(self, batch: Tensor) -> Tensor:
        geometry = self.geometry
        outputs: Tensor = sparse_layer(
            batch,
            self.values,
            self.bias,
            self.starts,
            self.channels,
            (geometry.outputs, geometry.inputs, geometry.groups),
            geometry.kernel,
            geometry.stride,
            geometry.padding,
            geometry.dilation,
        )
        return outputs

    def dense_weight(self) -> Tensor:
        """Return the masked weight, ``(out, in/groups, *kernel)``."""
        return dense_weight(self.geometry, self.values, self.starts, self.channels)

    def extra_repr(self) -> str:
        """Describe the shape and what is left of it."""
        shape = " × ".join(str(side) for side in self.geometry.weight_shape)
        entries, _, shared = self.values.shape
        return f"{shape}, {entries * shared:,} edges, {shared} outputs share their inputs"


class Csr(Condensed):
    """A linear layer multiplied by torch's own CSR product; it has the weights of its base."""

    def _multiply(self, batch: Tensor, after: After | None) -> tuple[Tensor, bool]:
        unsupported = batch.dtype.itemsize < 4 and not batch.is_cuda  # noqa: PLR2004 -- bytes
        if batch.dtype != self.values.dtype or unsupported:
            return super()._multiply(batch, after)
        _hear_about_csr()
        matrix = torch.sparse_csr_tensor(
            self.starts,
            self.channels,
            self.values.detach().reshape(-1),
            self.geometry.weight_shape,
            check_invariants=False,
        )
        product = torch.mm(matrix, batch.T).T
        if self.bias is not None:
            product = product + self.bias
        return product, False


@cache
def _hear_about_csr() -> None:
    """Swallow torch's one warning that its CSR tensors are in beta state."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.sparse_csr_tensor(torch.tensor([0, 0]), torch.tensor([], dtype=torch.int64), [])


def _values(geometry: Geometry, fans: Fans, weight: Tensor) -> Tensor:
    """Pick the kept weights of a dense layer."""
    taps = weight[0, 0].numel()
    flat = weight.detach().reshape(geometry.outputs, -1, taps)
    rows = torch.repeat_interleave(torch.from_numpy(fans.sizes)).to(weight.device)
    columns = torch.from_numpy(fans.channels).to(weight.device).long() % flat.shape[1]
    grouped = flat.reshape(-1, fans.shared, *flat.shape[1:])
    return grouped.permute(0, 2, 3, 1)[rows, columns].contiguous()


def _is_plain(inputs: Tensor, module: nn.Module) -> bool:
    """Tell whether nothing traces the product, so that the operator can be bypassed."""
    return (
        type(inputs) is Tensor
        and not torch.compiler.is_compiling()
        and not (
            torch.is_grad_enabled()
            and (inputs.requires_grad or any(p.requires_grad for p in module.parameters()))
        )
        and not torch._C._len_torch_dispatch_stack()  # noqa: SLF001 -- modes, as torch.library has it
        and torch._C._get_tracing_state() is None  # noqa: SLF001
        and torch._C._functorch.peek_interpreter_stack() is None  # noqa: SLF001
    )
