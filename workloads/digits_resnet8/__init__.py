"""A small ResNet that reads handwritten digits: its files, its test images, its training recipe."""
