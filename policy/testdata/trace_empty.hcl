trace {}
