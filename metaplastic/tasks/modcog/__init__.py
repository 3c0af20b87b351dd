"""The 82 tasks of Khona et al. 2023: delays to be taken into account, and goals that move."""
