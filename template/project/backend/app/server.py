"""Your server: what it decides for itself. A file to edit."""

from core.turns.agent_server import AgentServer


class Server(AgentServer):
    """Answers with the agent of agent.py.

    Override `admit`, `agent_for` or `model_for`, set `item_converter` or `response_converter`, list
    what the user may choose in `models` and `tools`: in AgentServer and TurnServer each says what
    it is for. What ChatKit's own ChatKitServer offers to override works here too, such as
    `transcribe`.
    """
