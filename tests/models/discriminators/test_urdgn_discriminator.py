import torch

from ofhkit.models.discriminators import URDGNDiscriminator


def test_parameter_count_by_hand():
    convolutions = 25 * (3 * 32 + 32 * 64 + 64 * 128 + 128 * 96) + (32 + 64 + 128 + 96)
    assert sum(p.numel() for p in URDGNDiscriminator().parameters()) == convolutions + 6144 * 1024 + 1024 + 1024 + 1


def test_drops_only_while_training():
    torch.manual_seed(0)
    network = URDGNDiscriminator(channels=(4, 4, 4, 4), hidden_channels=16, image_size=32)
    hr = torch.rand(2, 3, 32, 32)
    assert not torch.equal(network(hr), network(hr))
    network.eval()
    assert torch.equal(network(hr), network(hr))


def test_sees_faces_about_mid_grey():
    """Inside it works on [-1, 1]: mid-grey faces leave only the biases of the first layer."""
    network = URDGNDiscriminator(channels=(4, 4, 4, 4), hidden_channels=16, image_size=32).eval()
    first = network.features[0]
    seen = []
    first.register_forward_hook(lambda module, inputs, output: seen.append(output))
    network(torch.full((1, 3, 32, 32), 0.5))
    assert torch.allclose(seen[0], first.bias[None, :, None, None].expand_as(seen[0]))
