"""go-sendxmpp, a program in Go that sends and listens, with a TLS and an XML of its own."""

from __future__ import annotations

import asyncio
import subprocess

from stage import DOMAIN, PASSWORD, ROOM, WAIT, Missed, Stage, play

PACKAGE = "go-sendxmpp"
NEEDS = ("go-sendxmpp",)


def send(stage: Stage, text: str, *arguments: str) -> None:
    command = ["go-sendxmpp", "-u", f"bob@{DOMAIN}", "-p", PASSWORD, "-j", f"{DOMAIN}:5222", *arguments]
    done = subprocess.run(
        command, input=text, text=True, capture_output=True, timeout=WAIT, check=False,
        env=stage.environment(SSL_CERT_FILE=str(stage.authority)),
    )  # fmt: skip
    if done.returncode:
        raise Missed(done.stderr.strip() or "it failed")


async def course(stage: Stage) -> None:
    alice, record = stage.alice, stage.record
    friend = alice.boundjid.bare
    async with record.step("login"):
        await asyncio.to_thread(send, stage, "knock", friend)
    record.skip("contact", "has no contacts")
    async with record.step("chat"):
        await alice.hears("knock")
        command = ["go-sendxmpp", "-l", "-u", f"bob@{DOMAIN}", "-p", PASSWORD, "-j", f"{DOMAIN}:5222"]
        listener = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=stage.environment(SSL_CERT_FILE=str(stage.authority)),
        )  # fmt: skip
        try:
            alice.says(f"bob@{DOMAIN}", "who is there?")
            assert listener.stdout is not None
            async with asyncio.timeout(WAIT):
                while b"who is there?" not in await listener.stdout.readline():
                    pass
        finally:
            listener.terminate()
            await listener.wait()
    async with record.step("room"):
        await alice.opens_room(f"bob@{DOMAIN}")
        await asyncio.to_thread(send, stage, "from Go to all", "-c", ROOM)
        await alice.hears("from Go to all")
    async with record.step("file"):
        note = stage.home / "note.txt"
        note.write_text("a file\n")
        await asyncio.to_thread(send, stage, "", "-h", str(note), friend)
        await alice.hears("https://")
    record.skip("omemo", "has Ox instead")


if __name__ == "__main__":
    play(course)
