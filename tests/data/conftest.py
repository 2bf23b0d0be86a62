import numpy as np
import pytest
from made_records import made_picture, write_dataset


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """23 pictures in 3 shards (train) and 5 with 0 to 4 boxes in 2 (test)."""
    folder = tmp_path_factory.mktemp("records")
    train = [made_picture(i, i % 3, height=20 + i, width=50 - i) for i in range(23)]
    grid = np.zeros((40, 30), np.uint8)
    grid[4:30, 3:20] = 1
    test = [made_picture(100 + i, i % 3, boxes=[(j, j, 10 + j, 12 + j) for j in range(i)]) for i in range(4)]
    test.append(made_picture(104, 1, mask=grid))
    return write_dataset(folder, {"train": [train[:9], train[9:16], train[16:]], "test": [test[:3], test[3:]]})
