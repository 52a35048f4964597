"""What the dataset store promises when processes are killed, disks fill up and power goes away."""
