"""The key of the emulator that these tests share, as unique strings that no output may hold."""

KEY_ID = "test-key-id"
KEY = "test-application-key-that-must-never-show"
