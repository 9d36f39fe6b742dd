"""Finding the moving object of a video in instance embeddings, with no annotation.

Li et al. 2018 (instance embedding transfer), sec. 3; one function a stage:

    features   embedding, objectness and flow of each frame           sec. 3.1
    graph      similarity, edge map, geodesic and minimax distance    sec. 3.1-3.4
    seeds      candidates, diverse seeds, their regions               sec. 3.2, 3.3
    saliency   motion saliency of the seeds                           sec. 3.3
    tracks     seeds linked over the video, ranked                    sec. 3.3
    sets       initial foreground, foreground and background sets     sec. 3.4
    score      soft score of each pixel                               sec. 3.4, eq. 13-15
    frame      the stages of one frame
    discovery  all of it over a video: `EmbeddingDiscoverer`
"""
