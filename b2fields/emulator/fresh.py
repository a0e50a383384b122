"""Beginning anew between two tests, in the time that a test can bear."""

from b2fields.emulator import accounts, buckets
from b2fields.emulator.call import Json
from b2fields.emulator.faults import Script
from b2fields.emulator.params import Params
from b2fields.emulator.rules import CAPABILITIES
from b2fields.emulator.state import State


def begin(state: State, script: Script, params: Params) -> Json:
    """Empty the emulator, but for the *buckets* asked for; return a new application key, not the master's.

    Clients know what they remember by the key they have, and S3 presigning does not take the master key.
    """
    wanted = params.texts_by_name("buckets")
    state.empty()
    state.clock_offset = 0.0
    state.test_modes.clear()
    script.clear()
    for name, kind in wanted.items():
        buckets.create(state, name, kind)
    key_id, secret = accounts.add_key(state, "tests", list(CAPABILITIES))
    return {"applicationKeyId": key_id, "applicationKey": secret}
