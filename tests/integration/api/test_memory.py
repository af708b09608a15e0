"""What no worker could hold is refused before it is a job; a plan of it is answered."""

import httpx

import raiw
from tests.integration.api.servers import assert_problem

SIDE = 1 << 24


def body(**more) -> dict:
    layers = [
        {"name": "fc", "kind": "linear", "in_features": SIDE, "out_features": SIDE},
    ]
    return {"spec": {"layers": layers, "craft": {"degree": 1}}, **more}


def test_a_spec_of_terabytes_is_refused_with_its_sizes(http, server):
    problem = assert_problem(http.post("/v1/jobs", json=body()), 413, "too-large")
    mask_bytes = SIDE * SIDE // 8
    limit = server.services.settings.craft_memory_bytes
    assert problem["details"] == {
        "limit": limit,
        "memory_bytes": mask_bytes,
        "mask_bytes": mask_bytes,
    }
    for word in (str(mask_bytes), str(limit), "RAIW_CRAFT_MEMORY_BYTES", "'fc'"):
        assert word in problem["detail"]


def test_so_is_a_training_that_would_craft_it(http):
    wanted = {"kind": "train", "network": "digits-cnn", "data": "digits"}
    assert_problem(http.post("/v1/jobs", json=body(**wanted)), 413, "too-large")


def test_so_many_layers_at_a_time_must_fit_together(start):
    layer = {"kind": "linear", "in_features": 256, "out_features": 256}
    layers = [layer | {"name": name} for name in ("a", "b", "c")]
    asked = {"spec": {"layers": layers, "craft": {"algorithm": "nm", "density": 0.25}}}
    plan = raiw.Spec.parse(asked["spec"]).plan()
    both = plan.memory_on(2)
    assert plan.memory_on(1) == plan.memory_bytes < both < plan.memory_on(3) == plan.memory_on(4)
    for threads, limit, status in ((1, both - 1, 202), (2, both - 1, 413), (2, both, 202)):
        server = start(craft_memory_bytes=limit, task_threads=threads)
        with httpx.Client(base_url=server.url) as client:
            answer = client.post("/v1/jobs", json=asked)
        assert answer.status_code == status, answer.text
        if status == 413:
            assert (
                "2 layers at a time (RAIW_TASK_THREADS)"
                in assert_problem(answer, 413, "too-large")["detail"]
            )


def test_a_plan_of_terabytes_is_answered(http):
    planned = http.post("/v1/plan", json=body()).json()
    assert planned["mask_bytes"] == planned["memory_bytes"] == SIDE * SIDE // 8


def test_without_a_limit_the_disk_decides(start):
    server = start(craft_memory_bytes=0)
    with httpx.Client(base_url=server.url) as client:
        assert_problem(client.post("/v1/jobs", json=body()), 507, "disk-full")
