"""On this machine, as if it were a host."""

import os
import subprocess

from coordctl.transport.base import OUTPUT_BYTES_MAX, HostFailed, Ran, Script, check_sudo, shell_words


class LocalTransport:
    """Implements base.Transport."""

    def __init__(self, host: str, *, sudo: bool = False) -> None:
        self._host = host
        self._sudo = sudo and os.geteuid() != 0

    @property
    def host(self) -> str:
        return self._host

    def run(self, script: Script, seconds: float) -> Ran:
        command = shell_words(sudo=self._sudo)
        try:
            done = subprocess.run(
                command, input=script.text.encode(), capture_output=True, timeout=seconds, cwd=os.path.expanduser("~"), check=False
            )
        except subprocess.TimeoutExpired:
            raise HostFailed(self._host, "late", f"{script.name} did not end in {seconds:g} s: it may still be at work there") from None
        except FileNotFoundError:
            done = subprocess.CompletedProcess(command, 127, b"", f"{command[0]}: not found".encode())
        if len(done.stdout) + len(done.stderr) > OUTPUT_BYTES_MAX:
            raise HostFailed(self._host, "failed", f"{script.name} says more than {OUTPUT_BYTES_MAX >> 20} MiB")
        ran = Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        if self._sudo:
            check_sudo(self._host, str(os.geteuid()), ran)
        return ran

    def put(self, content: bytes, path: str, seconds: float) -> None:
        path = os.path.join(os.path.expanduser("~"), path)
        try:
            with open(os.open(path + ".part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
            os.replace(path + ".part", path)
        except OSError as error:
            raise HostFailed(self._host, "failed", f"{path} could not be written: {error.strerror}") from None

    def get(self, path: str, target: str, seconds: float) -> None:
        command = ["sudo", "-n", "cat", path] if self._sudo else ["cat", path]
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            done = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, timeout=seconds, cwd=os.path.expanduser("~"), check=False)
        if done.returncode:
            raise HostFailed(self._host, "failed", f"{path} could not be read: {done.stderr.decode(errors='replace').strip()}")

    def close(self) -> None:
        pass
