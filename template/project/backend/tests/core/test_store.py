"""This project's store, held to the contract of every store."""

import pytest
from store_contract import StoreContract

from core.stores.base import BaseStore

from app.wiring import Settings, open_store


class TestStore(StoreContract):
    @pytest.fixture
    def new_store(self, settings: Settings) -> BaseStore:
        return open_store(settings)
