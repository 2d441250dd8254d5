"""What if: requests tried on a machine under several policies, where each piece goes, and what would come back.

The package must not know how answers are printed, and cannot change a result.
"""
