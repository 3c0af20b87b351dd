"""What evolution does: genomes and searchers."""
