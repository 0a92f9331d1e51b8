"""What this machine has, what fits, and what a training will take; and which model folders are refused."""

import json
import struct
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from app.config.model_files import check_model_folder
from app.errors import EnvironmentFault, ModelFileError
from app.store.series import SeriesWriter
from app.training.base import choose_method
from app.training.estimate import estimate, require_room
from app.training.hardware import Gpu, Machine, probe
from app.training.memory import adapter_parameters
from app.training.speed import Setting, measured_speed
from tests.tiny import STARTER

GB = 10**9


def machine(memory=8 * GB, disk=50 * GB, gpus=()):
    return Machine(cores=2, threads=2, processor="test", memory_total=2 * memory, memory_available=memory, disk_free=disk,
                   gpus=gpus, avx512_bf16=True, amx=True)


def test_the_probe_measures_this_machine(tmp_path):
    found = probe(tmp_path / "not" / "yet" / "there")
    assert found.cores >= 1
    assert 0 < found.memory_available <= found.memory_total
    assert found.disk_free > 0


def test_probe_and_estimate_need_no_torch():
    code = "import sys, app.training.hardware, app.training.estimate, app.training.qlora_node as q; q.Qlora; " \
           "app.training.hardware.probe(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("parameters", "free", "state"), [
    pytest.param(135e6, 8 * GB, "fits", id="starter"),
    pytest.param(8e9, 8 * GB, "too_large", id="8B on 8 GB"),
    pytest.param(8e9, 32 * GB, "fits", id="8B on 32 GB"),
])
def test_fit_follows_free_memory(parameters, free, state):
    fit = machine(free).fit(parameters)
    assert fit.state == state
    assert fit.free == free


def test_tight_is_between_80_and_100_percent_of_free_memory():
    need = machine().fit(1e9).need
    assert machine(int(need / 0.9)).fit(1e9).state == "tight"


def test_a_cards_memory_counts_where_there_is_one():
    card = Gpu("card", 80 * GB, 70 * GB, "580", (9, 0))
    assert machine(gpus=(card,)).fit(8e9).free == 70 * GB


@pytest.mark.parametrize(("asked", "parameters", "cuda", "chosen"), [
    ("auto", 135e6, False, "lora"), ("auto", 1e9, False, "qlora"), ("auto", 135e6, True, "qlora"),
    ("lora", 8e9, True, "lora"), ("qlora", 135e6, False, "qlora")])
def test_method_auto_is_lora_for_small_models_on_a_cpu(asked, parameters, cuda, chosen):
    assert choose_method(asked, int(parameters), cuda) == chosen


def test_estimated_adapter_size_equals_the_trained_one(tiny):
    from app.training.base import add_adapters, load_base, trainable

    folder = check_model_folder(tiny)
    model = add_adapters(load_base(folder, "lora"), r=8, alpha=8, dropout=0.0, target="all-linear", seed=0)
    assert adapter_parameters(folder, 8) == sum(param.numel() for param in trainable(model).values())


@pytest.mark.parametrize(("method", "r", "tokens", "measured"), [
    pytest.param("lora", 16, 908, 2.18, id="908 tokens"), pytest.param("lora", 16, 2043, 3.13, id="2,043 tokens"),
    pytest.param("lora", 64, 908, 2.40, id="rank 64"),
    pytest.param("lora", 16, 454, 1.74, id="454 tokens"), pytest.param("qlora", 16, 908, 2.22, id="4-bit")])
def test_estimated_memory_is_near_the_measured_peak_of_the_starter_model(method, r, tokens, measured):
    """measured: peak resident GB of a process that trained on the legal kit's rows, two cores, 16 bits."""
    found = estimate(STARTER, machine(), tokens=1000, method=method, r=r, batch_tokens=tokens).memory / GB
    assert 0.9 * measured < found < 1.15 * measured


def test_the_pages_and_the_plan_use_one_formula():
    plan = estimate(STARTER, machine(), tokens=1000, method="lora", batch_tokens=1024)
    assert machine().fit(134_515_008, 1024).need == plan.memory


@pytest.mark.parametrize("recompute", [False, True])
def test_estimated_memory_grows_with_batch_and_falls_with_recomputing(recompute):
    small, large = (estimate(STARTER, machine(), tokens=1, method="lora", batch_tokens=tokens, recompute=recompute).memory
                    for tokens in (256, 4096))
    assert small < large
    assert estimate(STARTER, machine(), tokens=1, method="lora", batch_tokens=4096, recompute=True).memory <= large


def test_the_speed_of_an_earlier_run_is_used_and_said(store, lesson, tiny):
    """The run before: 10 steps at 500 tokens/s; another model's figures do not count."""
    import torch

    from app.training.qlora_node import Qlora, QloraParams

    def earlier(run, model, speed):
        setting = Setting(model, "lora", torch.get_num_threads(), probe().processor, "")
        with SeriesWriter(store, run, "train") as series:
            series.event("planned", kind="estimate", data={"setting": asdict(setting), "through": 0.5})
            for step in range(10):
                series.metric("train.tokens_per_second", 1.0 if step == 0 else speed, x=step)
        return setting

    setting = earlier("run_1", tiny.name, 500)
    earlier("run_2", "another-model", 9)
    assert measured_speed(store, setting) == 250
    assert measured_speed(store, replace(setting, threads=99)) is None
    ctx = lesson()
    Qlora(QloraParams(max_steps=1, eval_rows=0, method="lora")).run(ctx)
    assert ctx.said("minutes (at the speed of an earlier run here)")
    other = lesson("two")
    Qlora(QloraParams(max_steps=1, eval_rows=0, method="qlora")).run(other)
    assert other.said("minutes (assumed speed)")


def test_a_volume_that_is_too_small_is_refused_with_both_figures(tiny):
    plan = estimate(tiny, machine(disk=5_000_000), tokens=1000, method="lora")
    with pytest.raises(EnvironmentFault, match="too small") as refused:
        require_room(plan, tiny)
    assert "5 MB free" in refused.value.why


def broken(folder, change):
    change(folder)
    return folder


def with_config(**keys):
    def change(folder):
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))
    return change


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def index(name):
    def change(folder):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    return change


def linked(folder):
    (folder / "model.safetensors").rename(folder / "blob")
    (folder / "model.safetensors").symlink_to(folder / "blob")


def cut_short(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def lying_header(folder):
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")


@pytest.mark.parametrize(("change", "words"), [
    pytest.param(pickled, "pickled", id="pickle only"),
    pytest.param(with_config(auto_map={"AutoModel": "evil.Model"}), "asks for code", id="auto_map"),
    pytest.param(with_config(text_config={"auto_map": {}}), "asks for code", id="nested auto_map"),
    pytest.param(with_config(_attn_implementation_internal="someone/kernel"), "asks for code", id="attention from a hub"),
    pytest.param(index("../other.safetensors"), "outside its folder", id="../ in the index"),
    pytest.param(index("/etc/passwd.safetensors"), "outside its folder", id="absolute path"),
    pytest.param(index("gone.safetensors"), "missing", id="missing shard"),
    pytest.param(linked, "is a link", id="symlinked shard"),
    pytest.param(cut_short, "damaged", id="cut short"),
    pytest.param(lying_header, "damaged", id="lying header"),
    pytest.param(lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer", id="no tokenizer"),
    pytest.param(lambda folder: (folder / "config.json").write_text("{"), "damaged", id="bad config"),
])
def test_dangerous_and_damaged_folders_are_refused(tiny, tmp_path, change, words):
    import shutil

    folder = shutil.copytree(tiny, tmp_path / "model")
    assert check_model_folder(folder).parameters > 0
    with pytest.raises(ModelFileError, match=words) as refused:
        check_model_folder(broken(folder, change))
    assert str(folder) in (refused.value.where.file or "")
