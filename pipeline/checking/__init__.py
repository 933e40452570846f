"""The checks that competitors do by hand before they train: what stage=check looks at, a file each."""
