"""FaMUS's weight network, of layers that another file defines."""


class VNet(MetaModule):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first, self.second = MetaLinear(inputs, hidden), MetaLinear(hidden, outputs)

    def forward(self, losses):
        return self.second(self.first(losses).clamp(min=0)).sigmoid()
