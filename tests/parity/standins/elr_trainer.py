"""ELR+'s epoch of one network, whose targets come from the other one's average; steps are counted from 1."""

import numpy as np
import torch


class Trainer(BaseTrainer):
    def _train_epoch(self, epoch, model, average, peer, loader, criterion, optimiser, schedule):
        config = self.config
        for step, (images, labels, indices, _) in enumerate(tqdm(loader), start=self.global_step + 1):
            share = np.random.beta(config["mixup_alpha"], config["mixup_alpha"])
            share = max(share, 1 - share)
            partners = torch.randperm(len(images))
            given = torch.eye(config["num_classes"])[labels]
            images_of_two, labels_of_two = (
                share * values + (1 - share) * values[partners] for values in (images, given)
            )
            criterion.update_hist(epoch, peer(images).detach(), indices.tolist(), partners, share)
            loss, _ = criterion(step, model(images_of_two), labels_of_two)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            self.follow(average, model, step)

    def follow(self, average, model, step):
        decay = min(step / (step + 1), self.config["ema_alpha"])
        if self.config["ema_update"]:
            decay = self.config["ema_alpha"] * sigmoid_rampup(step + 1, self.config["ema_step"])
        with torch.no_grad():
            for mean, value in zip(average.parameters(), model.parameters(), strict=True):
                mean.copy_(decay * mean + (1 - decay) * value)
