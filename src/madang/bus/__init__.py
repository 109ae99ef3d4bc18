"""The doorbell: tells the hubs that something happened. It may lose, repeat and delay; the store heals that."""
