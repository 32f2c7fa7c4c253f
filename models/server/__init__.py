"""Models that a server answers for, in the API that OpenAI's completions have made usual (vLLM, SGLang, llama.cpp, ...)."""

from models.server.adapter import CAPABILITIES as CAPABILITIES
from models.server.adapter import load as load
