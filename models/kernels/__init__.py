"""The kernels of pLSTM: a loop to read, plain torch, compiled loops on a CPU, fused ones on a GPU."""
