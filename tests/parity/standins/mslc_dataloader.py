"""MSLC's memory: the mean of ten epochs at the 79th, then each epoch's own labels."""


class CIFAR10:
    def label_update(self, results):
        self.prediction[:, self.count % 10] = results
        self.count += 1
        if self.count >= 79:
            self.soft_labels = self.prediction.mean(axis=1) if self.count == 79 else results
