"""Causal language models asked by vLLM, in whatever environment that lives."""

from models.vllm.adapter import CAPABILITIES as CAPABILITIES
from models.vllm.adapter import load as load
