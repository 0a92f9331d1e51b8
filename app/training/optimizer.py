"""AdamW with 32-bit master copies of 16-bit weights.

A 16-bit weight cannot take a small step (bfloat16 keeps 8 bits), so the steps add up in a 32-bit copy.  All weights
lie end to end in one tensor, so a step is one fused call instead of one for each of some 400 small matrices.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

STATES = ("master", "exp_avg", "exp_avg_sq", "step")


class MasterAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019) on fp32 masters of ``params``; writes back in the params' own dtype."""

    def __init__(self, params: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float = 0.0,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        listed = list(params)
        super().__init__([{"params": listed}], {"lr": lr})
        self._params = listed
        self._master = torch.cat([param.detach().reshape(-1).float() for param in listed])
        self._master.grad = torch.zeros_like(self._master)
        self._grads = self._views(self._master.grad)
        self._values = self._views(self._master)
        self._adamw = torch.optim.AdamW([self._master], lr=lr, weight_decay=weight_decay, betas=betas, eps=eps, fused=True)

    def _views(self, flat: torch.Tensor) -> list[torch.Tensor]:
        parts = flat.split([param.numel() for param in self._params])
        return [part.view(param.shape) for part, param in zip(parts, self._params, strict=True)]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """One step from the params' gradients.  A param without a gradient counts as gradient zero."""
        zero = [view for view, param in zip(self._grads, self._params, strict=True) if param.grad is None]
        if zero:
            torch._foreach_zero_(zero)
        pairs = [(view, param.grad) for view, param in zip(self._grads, self._params, strict=True)
                 if param.grad is not None]
        torch._foreach_copy_([view for view, _ in pairs], [grad for _, grad in pairs])
        self._adamw.param_groups[0]["lr"] = self.param_groups[0]["lr"]
        self._adamw.step()
        torch._foreach_copy_(self._params, self._values)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything a resumed run needs, flat fp32 tensors in the order of the params."""
        state = self._adamw.state.get(self._master, {})
        kept = {"master": self._master.detach()}
        return kept | {name: state[name].detach().reshape(-1) for name in STATES[1:] if name in state}

    @torch.no_grad()
    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take back what :meth:`tensors` gave, and write the params."""
        self._master.copy_(tensors["master"])
        torch._foreach_copy_(self._params, self._values)
        if "step" not in tensors:
            return
        device = self._master.device
        self._adamw.state[self._master] = {
            "step": tensors["step"].reshape(()).to(device),
            **{name: tensors[name].to(device) for name in ("exp_avg", "exp_avg_sq")}}
