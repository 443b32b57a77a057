"""glibc's semaphore in shared memory."""

import ctypes
import threading

from pycorosync.ipc import semaphore


def _semaphore() -> tuple[ctypes.Array[ctypes.c_ubyte], int]:
    memory = (ctypes.c_ubyte * semaphore.SEMAPHORE_BYTES)()
    address = ctypes.addressof(memory)
    semaphore.initialise(address)
    return memory, address


def test_what_is_posted_can_be_taken_once() -> None:
    _memory, address = _semaphore()
    assert semaphore.take(address) == -1
    semaphore.post(address)
    semaphore.post(address)
    assert semaphore.value(address) == 2
    assert [semaphore.take(address) for _ in range(3)] == [0, 0, -1]
    assert semaphore.value(address) == 0


def test_waiting_ends_when_the_time_is_over() -> None:
    _memory, address = _semaphore()
    assert not semaphore.wait(address, 0.01)


def test_waiting_lets_another_thread_post() -> None:
    _memory, address = _semaphore()
    poster = threading.Thread(target=lambda: semaphore.post(address))
    poster.start()
    while not semaphore.wait(address, 30):
        pass
    poster.join()
    assert semaphore.value(address) == 0
