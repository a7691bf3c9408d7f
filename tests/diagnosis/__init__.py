"""Every rule of diagnosis, with planted mistakes and near misses."""
