"""What tests share: pictures, small networks, twins by other code, processes and environments."""
