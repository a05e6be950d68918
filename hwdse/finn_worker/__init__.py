"""Run by the Python of FINN's environment, where alone finn, qonnx and onnx are: nothing of hwdse imports it."""
