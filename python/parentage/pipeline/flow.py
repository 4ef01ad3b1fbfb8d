            raise ValueError(
