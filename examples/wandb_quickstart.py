"""A script from Weights & Biases' quickstart, unchanged except for its import."""

import random

import runstream as wandb

wandb.login()

epochs = 10
lr = 0.01

run = wandb.init(
    project="my-awesome-project",
    name="quickstart",
    config={"learning_rate": lr, "epochs": epochs, "architecture": "CNN", "dataset": "CIFAR-100"},
    tags=["quickstart", "baseline"],
    notes="a first run",
)

offset = random.random() / 5
print(f"lr: {run.config['learning_rate']}, epochs: {wandb.config.epochs}")

for epoch in range(2, epochs):
    acc = 1 - 2**-epoch - random.random() / epoch - offset
    loss = 2**-epoch + random.random() / epoch + offset
    print(f"epoch={epoch}, accuracy={acc}, loss={loss}")
    wandb.log({"accuracy": acc, "loss": loss})

run.summary["best_epoch"] = epochs - 1
wandb.finish()
