"""What all attacks share."""

from functools import partial

import pytest
from counts import Counts


@pytest.fixture
def counts(request):
    """Makes the counts of one attack by its name; only the long part's are kept."""
    return partial(Counts, request, kept=request.node.get_closest_marker("long") is not None)
