"""What a service is told by its environment. Secrets come as the path of a file, not as a value that `ps` or a log could show."""

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.runtime.errors import ConfigurationError

PREFIX = "GREENCHANNEL_"


class Settings(BaseSettings):
    """Read from GREENCHANNEL_<NAME>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, hide_input_in_errors=True)

    kafka: str = Field(description="bootstrap servers, host:port, separated by commas")
    replication: int = Field(
        default=1,
        ge=1,
        le=9,
        description="copies of each topic: 1 where Kafka is one broker (more refuse it), 3 in a cluster, 2 of them acknowledging",
    )
    redis: str = Field(description="redis://host:port/db of a Redis or Valkey that keeps what it is told")
    blobs: str = Field(description="file:///folder, s3://bucket/prefix, gs://... or az://...")
    patient_key_secret: Path | None = Field(default=None, description="file with the secret that patient numbers are hashed with; gateway only")
    pager: Path | None = Field(default=None, description="file to which the local pager appends a JSON line a notice; notify only")
    callback_secrets: Path | None = Field(
        default=None, description="folder of files named for providers, each with the secret that its callbacks are signed with; notify only"
    )
    rules_profile: str | None = Field(
        default=None, description="the region whose thresholds and priorities the rules take; without it, the rulebook's own; triage only"
    )
    link: str = Field(default="http://127.0.0.1:8080", description="the address under which people reach the console: pages link to it")
    instance: str = Field(
        default="0", description="this replica's name: the same after a restart, another for each replica", pattern=r"^[A-Za-z0-9.-]{1,60}$"
    )
    host: str = Field(default="127.0.0.1", description="where this service listens")
    port: int = Field(default=0, ge=0, le=65535, description="where this service listens; 0: any free one")


def settings_from_environment() -> Settings:
    """Return the settings, or a ConfigurationError that names each variable that is missing or wrong."""
    try:
        return Settings()  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        wrong = "; ".join(f"{PREFIX}{str(part['loc'][0]).upper()}: {part['msg']}" for part in error.errors(include_input=False))
        raise ConfigurationError("environment", f"{wrong}. `greenchannel stack` prints a set that works") from None
