"""A whole training step: ours against the released form, and against the networks alone.

    python -m tests.benchmarks.bench_step [--device cuda --batch 128 --encoder resnet50 --compile]

Whole step: from stored integers on the device to updated weights. The released form begins with
float32 images and a smoothing prior that its loader has made on the CPU, which is not counted here
(`bench_loader` counts that), and ends with the released loss. Networks alone: forward, backward
from the mean of the logits, optimiser. Rounds are interleaved, the best of each compared. The
limits are for a GPU at batch 128; on a CPU networks take nearly all of the time, and the figures
are shown without a verdict.
"""

import argparse
import sys

import torch

from pipeline.settings.pretrain import PretrainRun
from tests.benchmarks.released_loss import released_step
from tests.benchmarks.training_steps import EPOCH, Trainee, preparation, seconds, stored_batch

RELEASED_LIMIT = 2.0
NETS_LIMIT = 1.15


def forms_of(run: PretrainRun, device: str, batch: int, compile_it: bool, bf16: bool) -> dict:
    """What is timed, by name."""
    stored = stored_batch(batch, device)
    prepare = preparation(run).to(device)
    ready = prepare.training_batch(stored)
    autocast = torch.bfloat16 if bf16 else None
    ours = Trainee(run, device, compile_it=compile_it, autocast=autocast)
    nets = Trainee(run, device, compile_it=compile_it, autocast=autocast)
    # Its default is float16 with a gradient scaler; bfloat16 costs the same and needs none.
    theirs = Trainee(run, device, autocast=autocast)

    def whole_step() -> None:
        made = prepare.training_batch(stored)
        ours.step(ours.loss(ours.logits(made), made, EPOCH).total)

    def networks_alone() -> None:
        nets.step(sum(logits.float().mean() for logits in nets.logits(ready).values()))

    def released() -> None:
        logits = theirs.logits(ready)
        labels_BHW = ready.labels_BHW.long()
        s1, s2 = logits["s1"].float(), logits["s2"].float()
        theirs.step(released_step(s1, s2, labels_BHW, ready.prior_BCHW, EPOCH))

    return {"released": released, "networks alone": networks_alone, "ours": whole_step}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--model", default="mid", choices=["mid", "late"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device, batch = arguments.device, arguments.batch
    run = PretrainRun(encoder=arguments.encoder, model=arguments.model, crop=arguments.crop)
    forms = forms_of(run, device, batch, arguments.compile, arguments.bf16)
    for call in forms.values():
        call()
    best = dict.fromkeys(forms, float("inf"))
    for _ in range(arguments.rounds):
        for name, call in forms.items():
            best[name] = min(best[name], seconds(call, device))
    print(f"whole step: {arguments.model} {arguments.encoder}, batch {batch}, {device}")
    for name, time in best.items():
        print(f"  {name:16s} {time * 1e3:9.1f} ms {batch / time:9.1f} samples/s")
    gain, overhead = best["released"] / best["ours"], best["ours"] / best["networks alone"]
    print(f"  against the released form x{gain:.2f} (limit on a GPU {RELEASED_LIMIT})")
    print(f"  against the networks alone x{overhead:.3f} (limit on a GPU {NETS_LIMIT})")
    if device != "cpu" and (gain < RELEASED_LIMIT or overhead > NETS_LIMIT):
        sys.exit(1)


if __name__ == "__main__":
    main()
