"""Images that stay on disk, with torch: decoded by workers, cropped on the device, sampled by class."""
