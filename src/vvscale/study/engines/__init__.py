"""What starts workers: this machine, or a cluster's scheduler. All start the same worker on the same folder."""
