"""Pairs of plain values as arguments: the first version of a project passes one, the next the other."""

from .arguments import parse_arguments

CASES = parse_arguments(r"""
-- numbers and text

== keeps: an integer
-1
+1
== computes: an integer and its text
-1
+'1'
== computes: an integer and a float
-1
+1.0
== computes: an integer and a bool
-1
+True
== computes: an integer and a numpy integer
-1
+np.int64(1)
== computes: a float and a numpy float
-1.0
+np.float64(1.0)
== computes: two widths of a numpy float
-np.float32(0.5)
+np.float64(0.5)
== keeps: a float written otherwise
-1e3
+1000.0
== computes: floats that differ in the last bit
-0.3
+0.1 + 0.2
== computes: zero and negative zero
-0.0
+-0.0
== keeps: not a number
-float('nan')
+float('NaN')
== computes (policy: what is no number counts by its bits): not a number, with a sign
-float('nan')
+-float('nan')
== computes: infinity and negative infinity
-float('inf')
+float('-inf')
== computes: nothing and false
-None
+False
== computes: large integers
-2**200
+2**200 + 1
== computes: an integer and its negative
-2**64
+-2**64
== computes: complex numbers
-1 + 2j
+1 - 2j
== computes: a real and a complex number
-1.0
+1.0 + 0j
== computes: decimals with other trailing zeros
-decimal.Decimal('1.0')
+decimal.Decimal('1.00')
== keeps: a fraction reduced
-fractions.Fraction(1, 2)
+fractions.Fraction(2, 4)
== keeps: a text put together
-'north-south'
+'-'.join(['north', 'south'])
== computes: a text and its bytes
-'a'
+b'a'
== computes: bytes and a bytearray
-b'a'
+bytearray(b'a')
== computes: two ways to write an accent
-'\u00e9'
+'e\u0301'
== computes: an empty text and nothing
-''
+None
== computes: a text with a lone surrogate
-'\ud800'
+'\ud801'

-- times, paths and other small things

== keeps: a duration
-datetime.timedelta(hours=1)
+datetime.timedelta(minutes=60)
== computes: a date and its midnight
-datetime.date(2024, 1, 1)
+datetime.datetime(2024, 1, 1)
== computes: a time with and without a zone
-datetime.datetime(2024, 1, 1)
+datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
== computes: the same instant in two zones
-datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.timezone.utc)
+datetime.datetime(2024, 1, 1, 13, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
== keeps: a time in a named zone
-datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo('UTC'))
+datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo('UTC'))
== computes: the second of two equal times in autumn
-datetime.datetime(2024, 10, 27, 1, 30)
+datetime.datetime(2024, 10, 27, 1, 30, fold=1)
== computes: a path and its text
-Path('a/b')
+'a/b'
== keeps: a path put together
-Path('a/b')
+Path('a') / 'b'
== keeps: a unique identifier
-uuid.UUID('12345678123456781234567812345678')
+uuid.UUID(int=0x12345678123456781234567812345678)
== computes: unique identifiers
-uuid.UUID(int=1)
+uuid.UUID(int=2)
== computes: flags of a pattern
-re.compile('a')
+re.compile('a', re.I)
== computes: a range and its list
-range(3)
+[0, 1, 2]
== keeps: a range written otherwise
-range(3)
+range(0, 3, 1)
== computes: two ranges of the same numbers
-range(0, 3, 2)
+range(0, 4, 2)
== computes: slices
-slice(1, 2)
+slice(1, 2, 1)
== computes: members of an enum
-Colour.RED
+Colour.BLUE
== keeps: a member of an enum by its value
-Colour.RED
+Colour(1)
== computes: a member of an enum and its value
-Level.LOW
+1
== computes: a type
-int
+float

-- containers

== computes: a list and a tuple
-[1, 2]
+(1, 2)
== computes: the order of a list
-[1, 2]
+[2, 1]
== computes: how a list is nested
-[[1], [2, 3]]
+[[1, 2], [3]]
== computes: an empty list and an empty tuple
-[]
+()
== computes: an empty list and an empty dict
-[]
+{}
== computes: the order of a dict
-{'a': 1, 'b': 2}
+{'b': 2, 'a': 1}
== computes: a key of a dict and its text
-{1: 'a'}
+{'1': 'a'}
== computes: a key and a value exchanged
-{'a': 'b'}
+{'b': 'a'}
== computes: a dict and an ordered one
-{'a': 1}
+collections.OrderedDict(a=1)
== keeps: the order of a set
-{'a', 'b', 'c', 'd'}
+{'d', 'c', 'b', 'a'}
@ use
 sorted(value)
== keeps: a set of tuples
-{('a', 1), ('b', 2)}
+{('b', 2), ('a', 1)}
@ use
 sorted(value)
== computes: a set and a frozen one
-{1}
+frozenset({1})
== computes: an element of a set
-{1, 2}
+{1, 3}
== computes: a set with an integer and one with its text
-{1}
+{'1'}
== computes: a named tuple and a tuple
-Pair(1, 2)
+(1, 2)
== computes: how many a deque holds
-collections.deque([1], maxlen=2)
+collections.deque([1], maxlen=3)
== keeps: a list that holds one thing twice, and one that holds a copy
-[[1]] * 2
+[[1], [1]]
== keeps: a text that is held twice, and an equal one
-['ab'] * 2
+['ab', ''.join(['a', 'b'])]
== keeps: a list that holds itself
-cyclic(1)
+cyclic(1)
== computes: lists that hold themselves
-cyclic(1)
+cyclic(2)
== computes: deep inside a container
-{'a': [({'b': {1}},)]}
+{'a': [({'b': {2}},)]}
== computes: a long list
-list(range(10_000))
+[*range(9_999), -1]
@ use
 sum(value)
""")
