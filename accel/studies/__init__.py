"""What the studies of precision leave behind: plain frozen records that reports read."""
