"""The truth about events, which arrives later: joined by id and in time, and how near answers came to it."""
