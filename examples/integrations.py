"""Try an integration: `python examples/integrations.py xgboost` (or lightgbm, keras, sklearn, torch, ...).

Each trains a small model and logs it to the server that RUNSTREAM_BASE_URL names. Install the libraries that you want
to try.
"""

import sys


def data():
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split

    inputs, truth = load_breast_cancer(return_X_y=True)
    return train_test_split(inputs / inputs.max(axis=0), truth, random_state=0)


def with_xgboost():
    import xgboost

    from runstream.integrations.xgboost import RunstreamCallback

    train_x, test_x, train_y, test_y = data()
    train, test = xgboost.DMatrix(train_x, train_y), xgboost.DMatrix(test_x, test_y)
    parameters = {"objective": "binary:logistic", "eval_metric": "logloss", "max_depth": 3}
    callback = RunstreamCallback(project="integrations", name="xgboost")
    xgboost.train(
        parameters, train, 50, evals=[(train, "train"), (test, "test")], callbacks=[callback], verbose_eval=False
    )


def with_lightgbm():
    import lightgbm

    import runstream
    from runstream.integrations.lightgbm import log_summary, runstream_callback

    train_x, test_x, train_y, test_y = data()
    train = lightgbm.Dataset(train_x, train_y)
    with runstream.init(project="integrations", name="lightgbm"):
        parameters = {"objective": "binary", "metric": "auc", "verbose": -1}
        test = lightgbm.Dataset(test_x, test_y, reference=train)
        booster = lightgbm.train(parameters, train, 50, valid_sets=[test], callbacks=[runstream_callback()])
        log_summary(booster)


def with_keras():
    import keras

    from runstream.integrations.keras import RunstreamCallback

    train_x, test_x, train_y, test_y = data()
    model = keras.Sequential([keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    callback = RunstreamCallback(project="integrations", name="keras", log_freq=5)
    model.fit(train_x, train_y, validation_data=(test_x, test_y), epochs=20, verbose=0, callbacks=[callback])


def with_sklearn():
    from sklearn.ensemble import RandomForestClassifier

    import runstream
    from runstream.integrations import sklearn as helpers

    train_x, test_x, train_y, test_y = data()
    model = RandomForestClassifier(n_estimators=50, random_state=0).fit(train_x, train_y)
    with runstream.init(project="integrations", name="sklearn"):
        helpers.log_estimator(model)
        helpers.log_classifier(model, test_x, test_y, labels=["malignant", "benign"], prefix="test/")
        helpers.log_feature_importances(model)


def with_torch():
    import torch

    import runstream

    train_x, _, train_y, _ = (torch.tensor(part, dtype=torch.float32) for part in data())
    model = torch.nn.Sequential(torch.nn.Linear(30, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters())
    with runstream.init(project="integrations", name="torch") as run:
        run.watch(model, log="all", log_freq=20)
        for _ in range(200):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(train_x)[:, 0], train_y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log({"loss": loss})


def with_lightning():
    import lightning.pytorch as pl
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from runstream.integrations.lightning import RunstreamLogger

    class Classifier(pl.LightningModule):
        def __init__(self, lr=0.01):
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(30, 1)

        def training_step(self, batch, _):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(self.layer(batch[0])[:, 0], batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)

    train_x, _, train_y, _ = (torch.tensor(part, dtype=torch.float32) for part in data())
    loader = DataLoader(TensorDataset(train_x, train_y), batch_size=32)
    pl.Trainer(max_epochs=5, logger=RunstreamLogger(project="integrations", name="lightning")).fit(Classifier(), loader)


def with_transformers():
    import torch
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    from runstream.integrations.transformers import RunstreamCallback

    config = BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    rows = [{"input_ids": torch.randint(0, 25, (8,)) + 25 * (i % 2), "labels": i % 2} for i in range(256)]
    arguments = TrainingArguments("out", num_train_epochs=3, logging_steps=5, report_to=[], run_name="transformers")
    callback = RunstreamCallback(project="integrations")
    Trainer(BertForSequenceClassification(config), arguments, train_dataset=rows, callbacks=[callback]).train()


if __name__ == "__main__":
    known = {
        name.removeprefix("with_"): function for name, function in list(globals().items()) if name.startswith("with_")
    }
    if len(sys.argv) != 2 or sys.argv[1] not in known:
        sys.exit(f"usage: python examples/integrations.py {'|'.join(known)}")
    known[sys.argv[1]]()
