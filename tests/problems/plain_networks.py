"""Networks as plain modules of torch.nn, one model each."""

from torch import nn

from hzbench.problems.layers import EPSILON


class Normed(nn.Module):
    """Normalisation over groups of 16 channels, or of all."""

    def __init__(self, channels):
        super().__init__()
        groups = channels // 16 if channels % 16 == 0 else 1
        self.plain = nn.GroupNorm(groups, channels, eps=EPSILON)

    def forward(self, x):
        return self.plain(x)


class Block(nn.Module):
    def __init__(self, i, o, norm):
        super().__init__()
        stride = 1 if i == o else 2
        self.conv1 = nn.Conv2d(i, o, 3, stride, 1, bias=False)
        self.bn1 = norm(o)
        self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.bn2 = norm(o)
        self.downsample = None
        if stride == 2:
            self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, 2, bias=False), norm(o))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class PlainResNet(nn.Module):
    def __init__(self, channels, stem, norm=Normed, entering=1):
        super().__init__()
        far = stem == "imagenet"
        first = (7, 2, 3) if far else (3, 1, 1)  # size, stride, padding
        self.conv1 = nn.Conv2d(entering, channels, *first, bias=False)
        self.bn1 = norm(channels)
        self.pool = nn.MaxPool2d(3, 2, 1) if far else nn.Identity()
        width = channels
        for stage in range(1, 5):
            o = channels * 2 ** (stage - 1)
            setattr(self, f"layer{stage}", nn.Sequential(Block(width, o, norm), Block(o, o, norm)))
            width = o
        self.fc = nn.Linear(width, 10)

    def forward(self, x):
        x = self.pool(self.bn1(self.conv1(x)).relu())
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


class PlainTransformer(nn.Module):
    def __init__(self, vocabulary, length, e, heads, layers, hidden, classes):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, e)
        self.position = nn.Embedding(length, e)
        make = nn.TransformerEncoderLayer
        self.layers = nn.ModuleList(
            make(e, heads, hidden, dropout=0.0, batch_first=True) for _ in range(layers)
        )
        self.head = nn.Linear(e, classes)

    def forward(self, tokens):
        x, absent = self.embedding(tokens) + self.position.weight, tokens == 0
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=absent)
        present = (~absent).double()[..., None]
        return self.head((x * present).sum(1) / present.sum(1))
