"""EMLC's gate."""

import torch
from torch import nn


class TeacherEnhancer(nn.Module):
    def __init__(self, num_classes, feature_dim, embedding_dim, hidden_dim):
        super().__init__()
        self.embedding = nn.Embedding(num_classes, embedding_dim)
        self.first = nn.Linear(feature_dim + embedding_dim, hidden_dim)
        self.second = nn.Linear(hidden_dim, 1)

    def forward(self, features, labels):
        hidden = self.first(torch.cat([features, self.embedding(labels)], dim=1)).clamp(min=0)
        return self.second(hidden).sigmoid()
