"""Trains the network of digits.py with slots in float32 and in bfloat16; prints the losses and the size of the state.

python examples/bfloat16_slots.py
"""

from digits import train

from pyadam import optimizer_adam

SLOT_DTYPES = {"float32": None, "bfloat16": "bfloat16"}


def main():
    models, losses = zip(
        *(train(optimizer_adam(1e-3, slot_dtype=dtype)) for dtype in SLOT_DTYPES.values()), strict=True
    )
    print("loss      training              unseen digits")
    print("epoch  " + "".join(f"{name:>11}" for name in [*SLOT_DTYPES, *SLOT_DTYPES]))
    columns = [each[name] for name in ("loss", "val_loss") for each in losses]
    for epoch, row in enumerate(zip(*columns, strict=True), start=1):
        print(f"{epoch:5}  " + "".join(f"{loss:11.4f}" for loss in row))
    for name, model, each in zip(SLOT_DTYPES, models, losses, strict=True):
        size = sum(v.numpy().nbytes for v in model.optimizer.variables)
        print(f"{name}: {size:,} bytes of state, {each['val_accuracy'][-1]:.2%} of the unseen digits read correctly")


if __name__ == "__main__":
    main()
