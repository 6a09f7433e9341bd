#!/usr/bin/python3
"""An example plugin in Python: it greets, counts and returns its caller."""

import datetime
import decimal
import uuid

import hearth_plugin as hearth


@hearth.plugin(mode="call")
class Greeter:
    "Greets."

    @hearth.method
    def hello(self, name: str):
        "Returns a greeting."
        return "Hello, " + name + "!"

    @hearth.method
    def sum(self, *numbers: int):
        "Adds integers of any size."
        return sum(numbers)

    @hearth.method
    def refuse(self):
        "Always raises ValueError."
        raise ValueError("no")

    @hearth.method
    def who(self):
        "Returns the caller's principal."
        return hearth.caller().principal

    @hearth.method
    def count(self, to: int):
        "Streams the integers below a bound."
        yield from range(to)

    @hearth.method
    def echo(self, value):
        "Returns its argument."
        return value

    @hearth.method
    def types(self, when: datetime.datetime, name: uuid.UUID, price: decimal.Decimal):
        "Changes typed arguments and returns them."
        return [when + datetime.timedelta(days=1), name, price * 2]

    @hearth.method
    def forward(self, object_id: str, method: str, argument):
        "Calls a method of another object."
        hearth.log("info", "forwarding to " + object_id)
        return hearth.call(object_id, method, argument)

    @hearth.method
    def knows(self, name: str):
        "Returns the length of a secret. The host redacts the secret in the log."
        secret = hearth.secret(name)
        hearth.log("info", "the secret is " + secret)
        return len(secret)

    def hidden(self):
        return "never reached from outside"


@hearth.plugin(mode="single", name="counter")
class Counter:
    "Counts for all callers."

    def __init__(self):
        self.n = 0

    @hearth.method
    def increment(self, by: int = 1):
        "Adds to the count and returns it."
        self.n += by
        return self.n

    @hearth.attribute
    def total(self):
        "The count."
        return self.n

    @total.setter
    def total(self, value: int):
        self.n = value


if __name__ == "__main__":
    hearth.serve(Greeter, Counter)
