"""`python -m bench.load.echo`: a bare FastAPI echo on BENCH_PORT, the floor under the gateway."""

import os
from typing import Any

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def alive() -> dict[str, str]:
    """Say that it runs."""
    return {"status": "ok"}


@app.post("/")
async def echo(body: dict[str, Any]) -> dict[str, Any]:
    """Give the body's question back."""
    return {"question": body["question"]}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), log_level="warning")
