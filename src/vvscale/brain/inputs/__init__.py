"""From a stimulus file to the batch that a model sees: placement on the screen, preprocessing, batches.

``preprocess.py`` resizes stimuli; training images are resized in ``vvscale.data.augment.resize``.
"""
