"""Stand-ins for models, so that the examples run without a network.

Each calls a tool for two deployments, and then repeats the results. Replace them with your own
model.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

CALLS = [{"service": "api", "version": "1.4.2"}, {"service": "web", "version": "2.0"}]


def chat_model(calls: list[dict[str, Any]] | None = None) -> Any:
    """A chat model for LangChain."""
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    wanted = CALLS if calls is None else calls

    class Scripted(BaseChatModel):
        def bind_tools(self, tools: Any, **_: Any) -> Any:
            return self

        def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
            heard = [str(message.content) for message in messages if isinstance(message, ToolMessage)]
            asks = [{"name": "deploy", "args": args, "id": f"call_{n}"} for n, args in enumerate(wanted, 1)]
            said = AIMessage(content="; ".join(heard)) if heard else AIMessage(content="", tool_calls=asks)
            return ChatResult(generations=[ChatGeneration(message=said)])

        @property
        def _llm_type(self) -> str:
            return "scripted"

    return Scripted()


def agents_model(calls: list[dict[str, Any]] | None = None) -> Any:
    """A model for the OpenAI Agents SDK."""
    from agents import ModelResponse, Usage
    from agents.models.interface import Model
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    wanted = CALLS if calls is None else calls

    class Scripted(Model):
        async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:
            items = [] if isinstance(input, str) else input
            heard = [str(item["output"]) for item in items if item.get("type") == "function_call_output"]
            output: list[Any]
            if heard:
                text = ResponseOutputText(type="output_text", text="; ".join(heard), annotations=[])
                output = [ResponseOutputMessage(id="m1", type="message", role="assistant", status="completed", content=[text])]
            else:
                output = [
                    ResponseFunctionToolCall(
                        type="function_call", id=f"fc_{n}", call_id=f"call_{n}", name="deploy", arguments=json.dumps(args)
                    )
                    for n, args in enumerate(wanted, 1)
                ]
            return ModelResponse(output=output, usage=Usage(), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            raise NotImplementedError("this stand-in does not stream")

    return Scripted()
