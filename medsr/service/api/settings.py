"""Limits of the HTTP door. The settings of the whole service inherit them."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["ApiSettings"]


class ApiSettings(BaseSettings):
    """What one client may ask of the api, from MEDSR_* variables."""

    model_config = SettingsConfigDict(env_prefix="MEDSR_", frozen=True, extra="ignore")

    policy: str = Field("clinical", description="Gate policy of jobs that name none.")
    max_upload_bytes: int = Field(4 << 30, description="Largest upload, in bytes.")
    max_object_bytes: int = Field(1 << 30, description="Largest single DICOM object, in bytes.")
    max_objects: int = Field(20_000, description="Most DICOM objects of one upload.")
    max_json_bytes: int = Field(1 << 20, description="Largest JSON body, in bytes.")
    max_header_block_bytes: int = Field(32 << 10, description="Largest HTTP header block, in bytes.")
    header_seconds: float = Field(10.0, description="Seconds in which a request's header must be complete.")
    body_bytes_per_s: int = Field(64_000, description="Slowest body that is waited for, in bytes a second.")
    body_grace_s: float = Field(10.0, description="Seconds of waiting for a body that are not counted.")
    connections_per_address: int = Field(64, description="Most connections of one address.")
    requests_per_s: float = Field(20.0, description="Most requests a second of one key.")
    uploads_per_key: int = Field(8, description="Most uploads of one key at a time.")
    failures_per_minute: int = Field(5, description="Wrong keys that an address may try a minute.")
    store_calls: int = Field(16, description="Calls into the store at a time.")
    store_waiting: int = Field(64, description="Calls that may wait for the store; more get 503.")
    store_seconds: float = Field(5.0, description="Seconds that a request waits for the store before it gets 503.")
    events_comment_s: float = Field(15.0, description="Seconds between comments of a silent event stream.")
    events_poll_s: float = Field(0.5, description="Seconds between two looks for new events.")
    four_eyes: bool = Field(False, description="The submitting key and its owner cannot release a held result.")
    secure_cookies: bool = Field(False, description="Mark session cookies Secure; set it behind TLS.")
