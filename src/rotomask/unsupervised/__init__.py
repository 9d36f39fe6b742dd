"""Unsupervised video object segmentation: the objects of a video without any annotation.

`base.py` has the interface: a `Discoverer` processes a whole video and returns a `Discovery`, the
masks of its objects. There are three: `EmbeddingDiscoverer`, `FlowSaliencyDiscoverer` (the
baseline), and `PropagatingDiscoverer`, which lets a segmenter follow what another one discovered.

`EmbeddingDiscoverer` is Li et al. 2018 (instance embedding transfer), sec. 3, one module per stage:

    features              embedding, objectness and flow of each frame           sec. 3.1
    graph                 similarity, edge map, geodesic and minimax distance    sec. 3.1-3.4
    seeds                 candidates, diverse seeds, their regions               sec. 3.2, 3.3
    motion_saliency       motion of the seeds against the background             sec. 3.3
    tracks                seeds linked over the video and ranked                 sec. 3.3
    foreground_sets       initial foreground, foreground and background sets     sec. 3.4
    soft_scores           score of each pixel                                    sec. 3.4, eq. 13-15
    marked_anew           sharper outlines by a marker: beyond the paper
    frame_seeds           the stages of one frame
    stored_discovery      compressed scores of all frames
    embedding_discoverer  all stages over a video
    embedding_segmenter   the semi-supervised form                               sec. 4.5, A.1
"""
