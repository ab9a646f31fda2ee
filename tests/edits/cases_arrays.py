"""Pairs of arrays, frames and matrices as arguments."""

from .arguments import parse_arguments

CASES = parse_arguments(r"""
-- numpy

== keeps: an array made otherwise
-np.array([0, 1, 2])
+np.arange(3)
== computes: an array and its list
-np.array([1, 2])
+[1, 2]
== computes: an element of an array
-np.array([1, 2])
+np.array([1, 3])
== computes: the type of an array
-np.zeros(2, 'f4')
+np.zeros(2, 'f8')
== computes: the shape of an array
-np.zeros((2, 3))
+np.zeros((3, 2))
== computes: the byte order of an array
-np.ones(2, '<f8')
+np.ones(2, '>f8')
== computes: the memory order of an array
-np.ones((2, 3), order='C')
+np.ones((2, 3), order='F')
@ use
 value.flags.c_contiguous
== computes: an array without axes and a number
-np.array(1.0)
+np.float64(1.0)
== computes: the type of an empty array
-np.zeros(0, 'i8')
+np.zeros(0, 'f8')
== computes: the shape of an empty array
-np.zeros((0, 2))
+np.zeros((0, 3))
== keeps: an array that may not be written
-np.arange(3)
+np.broadcast_to(np.arange(3), (3,)).copy()
== keeps: a part of an array
-np.arange(10)[::2]
+np.arange(10)[::2]
== computes: another part of an array
-np.arange(10)[::2]
+np.arange(10)[1::2]
== computes: a reversed array
-np.arange(3)
+np.arange(3)[::-1]
== computes: a field of a structured array
-np.zeros(1, [('a', 'i8'), ('b', 'i8')])
+np.zeros(1, [('a', 'i8'), ('c', 'i8')])
== computes: an element of an array of objects
-np.array([1, 'a'], dtype=object)
+np.array([1, 'b'], dtype=object)
== computes: the kind of an element in an array of objects
-np.array([1, None], dtype=object)
+np.array([True, None], dtype=object)
== computes: the unit of times
-np.array(['2024-01-01'], 'M8[s]')
+np.array(['2024-01-01'], 'M8[ns]')
== computes: the mask of an array
-np.ma.masked_array([1, 2], [False, True])
+np.ma.masked_array([1, 2], [True, False])
@ use
 value.tolist()
== computes: zeros of another sign in an array
-np.array([0.0])
+np.array([-0.0])
== keeps: an array with no number in it
-np.array([np.nan, 1.0])
+np.array([np.nan, 1.0])
== computes: one element of a large array
-np.zeros(200_000)
+np.r_[np.zeros(199_999), 1]
@ use
 float(value.sum())

-- pandas

== keeps: a frame made otherwise
-pd.DataFrame({'a': [1, 2]})
+pd.DataFrame([[1], [2]], columns=['a'])
== computes: the order of columns
-table(a=[1], b=[2])
+table(b=[2], a=[1])
== computes: the name of a column
-table(a=[1])
+table(b=[1])
== computes: the type of a column
-table(a=[1])
+table(a=[1.0])
== computes: a value in a frame
-table(a=[1, 2], b=['x', 'y'])
+table(a=[1, 2], b=['x', 'z'])
== computes: the index of a frame
-pd.DataFrame({'a': [1]}, index=[0])
+pd.DataFrame({'a': [1]}, index=[1])
== computes: the name of an index
-pd.DataFrame({'a': [1]}, index=pd.Index([5], name='k'))
+pd.DataFrame({'a': [1]}, index=pd.Index([5], name='l'))
== computes: a range as an index and its list
-pd.DataFrame({'a': [1]}, index=pd.RangeIndex(1))
+pd.DataFrame({'a': [1]}, index=pd.Index([0]))
@ use
 type(value.index).__name__
== computes: the levels of an index
-pd.Series([1], index=pd.MultiIndex.from_tuples([(1, 2)], names=['a', 'b']))
+pd.Series([1], index=pd.MultiIndex.from_tuples([(1, 2)], names=['a', 'c']))
== computes: the order of columns of several levels
-pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([('a', 1), ('a', 2)]))
+pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([('a', 2), ('a', 1)]))
== computes: how a frame is laid out in blocks
-pd.DataFrame(np.ones((2, 2)), columns=['a', 'b'])
+table(a=np.ones(2)).assign(b=np.ones(2))
@ use
 len(value._mgr.blocks)
== computes: the categories of a column
-pd.Series(['a'], dtype=pd.CategoricalDtype(['a', 'b']))
+pd.Series(['a'], dtype=pd.CategoricalDtype(['b', 'a']))
== computes: whether categories are ordered
-pd.Series(['a'], dtype=pd.CategoricalDtype(['a', 'b']))
+pd.Series(['a'], dtype=pd.CategoricalDtype(['a', 'b'], ordered=True))
== computes: the zone of a column of times
-pd.Series(pd.to_datetime(['2024-01-01']).tz_localize('UTC'))
+pd.Series(pd.to_datetime(['2024-01-01']).tz_localize('UTC').tz_convert('Europe/Paris'))
== computes: the frequency of an index of times
-pd.Series([1, 2], index=pd.date_range('2024-01-01', periods=2, freq='D'))
+pd.Series([1, 2], index=pd.DatetimeIndex(['2024-01-01', '2024-01-02']))
@ use
 str(value.index.freq)
== computes: a column of Arrow
-pd.Series([1, 2])
+pd.Series([1, 2], dtype='int64[pyarrow]')
== computes: text as objects and as text
-pd.Series(['a'], dtype=object)
+pd.Series(['a'], dtype='str')
== computes: what is missing in a column
-pd.Series([None], dtype=object)
+pd.Series([float('nan')], dtype=object)
== computes: the name of a series
-pd.Series([1], name='a')
+pd.Series([1], name='b')
== computes: a series and its frame
-pd.Series([1], name='a')
+pd.Series([1], name='a').to_frame()
== computes: attributes of a frame
-pd.DataFrame({'a': [1]})
+pd.DataFrame({'a': [1]}).pipe(lambda f: f.attrs.update(unit='m') or f)
@ use
 value.attrs
== keeps: a copy of a frame
-table(a=[1, 2], b=['x', 'y'])
+table(a=[1, 2], b=['x', 'y']).copy()
== keeps: a frame of text
-table(a=['x', 'y'] * 1000)
+table(a=['x', 'y', 'x', 'y'] * 500)
== computes: an empty frame with and without columns
-pd.DataFrame()
+pd.DataFrame(columns=['a'])
== computes: a time stamp and its date
-pd.Timestamp('2024-01-01')
+datetime.datetime(2024, 1, 1)

-- sparse matrices and Arrow

== keeps: a sparse matrix
-sp.csr_array(np.eye(3))
+sp.csr_array(np.eye(3))
@ use
 value.sum()
== computes: the format of a sparse matrix
-sp.csr_array(np.eye(3))
+sp.csc_array(np.eye(3))
== computes: an element of a sparse matrix
-sp.csr_array(np.eye(3))
+sp.csr_array(np.eye(3) * 2)
@ use
 value.sum()
== computes: the shape of a sparse matrix
-sp.csr_array((2, 3))
+sp.csr_array((3, 2))
@ use
 value.shape
== keeps: a table of Arrow
-pa.table({'a': [1, 2]})
+pa.table({'a': pa.array([1, 2])})
== computes: a value in a table of Arrow
-pa.table({'a': [1, 2]})
+pa.table({'a': [1, 3]})
== computes: a type in a table of Arrow
-pa.table({'a': pa.array([1], 'int32')})
+pa.table({'a': pa.array([1], 'int64')})
""")
