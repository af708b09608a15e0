"""Pictures of masks, of studies and of the papers, drawn without a plotting library.

A picture is a :class:`raiw.pictures.drawing.Drawing`: shapes in colours named by what they stand
for. ``drawing.svg()`` is a file of its own, light or dark as its reader prefers, and
``drawing.inline()`` is SVG for a page, whose style sheet may set the colours
(:data:`raiw.pictures.palette.COLOURS`); :func:`raiw.pictures.raster.png` makes a PNG. The same
input gives the same bytes.

=====================================================  ===========================================
:func:`raiw.pictures.maps.mask_map`                    where the edges of a layer are, as tiles
:func:`raiw.pictures.maps.thumbnail`                   the same without words
:func:`raiw.pictures.tiles.count_tiles`                the numbers below both, for any window
:func:`raiw.pictures.degrees.degree_histogram`         degrees beside those of a random mask
:func:`raiw.pictures.spectra.spectrum`                 singular values beside those of a random mask
:func:`raiw.pictures.gaps.entropy_gap`                 entropy below the dense layer's
:func:`raiw.pictures.sheets.layer_sheet`               all of these for one layer
:func:`raiw.pictures.sheets.network_sheet`             every layer of a network, small
:func:`raiw.pictures.scatter.scatter`                  series of points, as studies draw them
:func:`raiw.pictures.networks.neural_graph`            a small neural graph, vertex by vertex
:func:`raiw.pictures.lines.line_chart`                 lines over an axis, with labels and a key
:func:`raiw.pictures.heat.heat_map`                    shares over two whole numbers
:func:`raiw.pictures.panels.panels`                    several drawings on one sheet
=====================================================  ===========================================
"""
